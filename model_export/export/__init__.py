"""From a checkpoint to a bundle: ONNX graph, tables, model card and parity check."""
