"""Speed of the parts: the updater, the API, the extractor, training, the demo."""
