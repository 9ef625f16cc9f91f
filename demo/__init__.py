"""The demo: a page that shows interests change with every click."""
