"""The parts that one demo process runs, without Streamlit."""
