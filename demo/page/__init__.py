"""The page's widgets, with Streamlit."""
