"""Products, shelves, charts and the map as HTML and charts, without Streamlit."""
