"""Other programs: pretrained weights in and out, the network as an ONNX graph.

May import runs, models, data, io.
"""
