"""An ONNX graph built node by node; its values have arithmetic operators."""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

import numpy as np
import onnx
from onnx import helper, numpy_helper

# readable for ONNX Runtime and OpenVINO since 2023
_OPSET, _IR_VERSION = 18, 9

Operand = Union['Value', np.ndarray, float, int]


def _operator(op: str, reflected: bool = False) -> Callable[['Value', Operand], 'Value']:
    """The method of `Value` for an operator; reflected, the value is the second operand."""

    def method(value: 'Value', other: Operand) -> 'Value':
        return value.graph.add(op, *((other, value) if reflected else (value, other)))

    return method


@dataclasses.dataclass(frozen=True)
class Value:
    """The result of a node, by name, and its (height, width) if it is a map."""

    graph: 'Graph'
    name: str
    size_of_map: tuple[int, int] | None = None

    # so that NumPy arrays leave their operators to this class
    __array_ufunc__ = None
    __add__ = __radd__ = _operator('Add')
    __mul__ = __rmul__ = _operator('Mul')
    __sub__, __rsub__ = _operator('Sub'), _operator('Sub', reflected=True)
    __truediv__, __rtruediv__ = _operator('Div'), _operator('Div', reflected=True)
    __matmul__, __rmatmul__ = _operator('MatMul'), _operator('MatMul', reflected=True)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of a map."""
        if self.size_of_map is None:
            raise ValueError(f'{self.name} is no map')
        return self.size_of_map

    def of_size(self, size: tuple[int, int]) -> 'Value':
        """The same, as a map of this size."""
        return dataclasses.replace(self, size_of_map=size)


class Graph:
    """Collects nodes in the order of computation."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._uses: collections.Counter[str] = collections.Counter()

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> Value:
        """Adds an input; sides of `shape` that are names may have any length."""
        self._inputs.append(_info(name, dtype, shape))
        return Value(self, name)

    def output(self, value: Value, name: str, shape: Sequence[int | str]) -> None:
        """Makes a float32 value an output of that name."""
        self._nodes.append(helper.make_node('Identity', [value.name], [name], name))
        self._outputs.append(_info(name, np.float32, shape))

    def constant(self, array: np.ndarray | float | int, name: str = 'constant') -> Value:
        """Adds a constant; floating-point ones are float32."""
        array = np.asarray(array)
        kind = np.float32 if array.dtype == np.float64 else array.dtype
        name = self._unique(name)
        # in one go: weights are transposed, and to go through them so is slow
        array = np.ascontiguousarray(array, kind)
        self._constants.append(numpy_helper.from_array(array, name))
        return Value(self, name)

    def add(
        self,
        op: str,
        *operands: Operand,
        name: str = '',
        size: tuple[int, int] | None = None,
        **attributes: Any,
    ) -> Value:
        """Adds a node with one result; operands that are no values become constants.

        By default the name is that of the operation, and the size that of the first map.
        """
        values = [x if isinstance(x, Value) else self.constant(x) for x in operands]
        name = self._unique(name or op.lower())
        inputs = [value.name for value in values]
        self._nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        sizes = (value.size_of_map for value in values)
        return Value(self, name, size or next(filter(None, sizes), None))

    def concat(self, *values: Value) -> Value:
        """Joins maps by their channels."""
        return self.add('Concat', *values, axis=1)

    def to_model(self, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """The finished model."""
        parts = self._inputs, self._outputs, self._constants
        model = helper.make_model(
            helper.make_graph(self._nodes, 'ocelot_jax', *parts),
            opset_imports=[helper.make_opsetid('', _OPSET)],
            ir_version=_IR_VERSION,
            producer_name='ocelot_jax',
        )
        helper.set_model_props(model, dict(metadata))
        return model

    def _unique(self, name: str) -> str:
        self._uses[name] += 1
        return name if self._uses[name] == 1 else f'{name}_{self._uses[name]}'


def _info(name: str, dtype: Any, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, element, shape)
