"""How fast the parts are: the updater, the API, the extractor, training, the demo."""
