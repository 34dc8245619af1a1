"""`models.cell_tissue` and `models.mfovce`: from the images of a pair to probabilities."""

from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import numpy as np
import onnx

from ocelot_jax.data import augmentation
from ocelot_jax.interop.onnx_graph import alignment, branches, layers
from ocelot_jax.interop.onnx_graph.alignment import Place
from ocelot_jax.interop.onnx_graph.graph import Graph, Value
from ocelot_jax.interop.onnx_graph.layers import Scope
from ocelot_jax.models import CellTissue, MFoVCENet, factory, seams
from ocelot_jax.models.cell_tissue import WAYS

_FLOAT = onnx.TensorProto.FLOAT

Size = tuple[int, int]


def to_onnx(
    model: factory.Model,
    variables: Mapping[str, Any],
    cell_size: Size,
    tissue_size: Size,
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """Writes a network as a graph from images to probabilities.

    Its inputs are those fields of a batch of `data.batches` that the network reads, of any batch
    size: `cell_image` [B,H,W,3] and `tissue_image` [T,h,w,3] uint8, `tissue_mask` [B,h,w] uint8,
    `center` [B,2], `cell_mpp` [B] and `tissue_mpp` [B] float32. T is B, or, where
    `factory.shares_tissue`, divides it. Its outputs are `cell_probabilities` [B,H,W,1+K] and,
    with a tissue branch, `tissue_probabilities` [T,h,w,T'], float32.

    Raises:
        InputError: the network cannot take patches of these sizes, or an encoder is no ResNet.
    """
    factory.check_sizes(model, cell_size, tissue_size)
    graph = Graph()
    scope = Scope(graph, flax.traverse_util.flatten_dict(dict(variables)))
    batch = _Batch(graph, cell_size, tissue_size, factory.shares_tissue(model))
    if isinstance(model, CellTissue):
        cell, tissue = _cell_tissue(model, scope, batch)
    else:
        cell, tissue = _mfovce(model.encoder_name, scope, batch), None
    for name, maps in {'cell': cell, 'tissue': tissue}.items():
        if maps is not None:
            classes = model.tissue_classes if name == 'tissue' else 1 + model.cell_classes
            last = graph.add('Transpose', maps, perm=[0, 2, 3, 1])
            shape = (batch.counts[name], *maps.size, classes)
            graph.output(last, f'{name}_probabilities', shape)
    return graph.to_model(metadata or {})


class _Batch:
    """The inputs of the graph; each is added when it is first read."""

    def __init__(self, graph: Graph, cell_size: Size, tissue_size: Size, shared: bool):
        self._graph = graph
        self._sizes = {'cell': cell_size, 'tissue': tissue_size}
        self.counts = {'cell': 'batch', 'tissue': 'tissue_batch' if shared else 'batch'}

    def tissue_mask(self, num_classes: int) -> Value:
        """One map for each class; where tissue is unknown, all are zero."""
        size = self._sizes['tissue']
        mask = self._graph.input('tissue_mask', np.uint8, (self.counts['cell'], *size))
        mask = self._graph.add('Unsqueeze', mask, np.array([1]))
        classes = np.arange(num_classes, dtype=np.uint8)[:, None, None]
        return self._graph.add(
            'Cast', self._graph.add('Equal', mask, classes), to=_FLOAT, size=size
        )

    def place(self) -> Place:
        shapes = {'center': (2,), 'cell_mpp': (), 'tissue_mpp': ()}
        center, cell, tissue = (
            self._graph.input(name, np.float32, (self.counts['cell'], *shape))
            for name, shape in shapes.items()
        )
        sides = {name: width for name, (_, width) in self._sizes.items()}
        return Place.of(center, (cell / tissue) * (sides['cell'] / sides['tissue']))

    def image(self, name: str) -> Value:
        """An image, [B,3,H,W], standardised as by `augmentation.normalize`."""
        size = self._sizes[name]
        image = self._graph.input(f'{name}_image', np.uint8, (self.counts[name], *size, 3))
        image = self._graph.add('Cast', image, to=_FLOAT)
        zero, one = (augmentation.normalize(np.full(3, x, np.float32)) for x in (0.0, 1.0))
        image = image * ((one - zero) / 255) + zero
        return self._graph.add('Transpose', image, perm=[0, 3, 1, 2], size=size)


def _cell_tissue(model: CellTissue, scope: Scope, batch: _Batch) -> tuple[Value, Value | None]:
    """Probabilities of both patches, [B,C,H,W]."""
    names = ('cell', 'tissue') if factory.reads_tissue(model) else ('cell',)
    images = {name: batch.image(name) for name in names}

    def stages(name: str) -> dict[str, seams.Stages[Value]]:
        create = branches.STAGES[model.architecture]
        return {name: create(scope / name, images[name], model.encoder_of(name))}

    found = None
    match model.context:
        case 'none':
            logits = seams.run(stages('cell'))
        case 'label':
            known = batch.tissue_mask(model.tissue_classes)
            logits = seams.run(stages('cell'), _injection(model.seam, known, batch.place()))
        case 'prediction':
            found = _softmax(seams.run(stages('tissue'))['tissue'])
            context = _share(found, images['cell'])
            logits = seams.run(stages('cell'), _injection(model.seam, context, batch.place()))
        case 'features':
            both = stages('cell') | stages('tissue')
            logits = seams.run(both, _sharing(model.sharing, scope, batch.place()))
            found = _softmax(logits['tissue'])
    return _softmax(logits['cell']), found


def _share(tissue: Value, cells: Value) -> Value:
    """Repeats maps [T,C,h,w] of tissue patches for consecutive cell patches that share one."""
    graph = tissue.graph
    count, wanted = (graph.add('Shape', x, start=0, end=1) for x in (tissue, cells))
    scalar = np.zeros(0, np.int64)
    numbers = graph.add('Range', np.array(0), graph.add('Reshape', wanted, scalar), np.array(1))
    return graph.add('Gather', tissue, numbers / (wanted / count), axis=0, size=tissue.size)


def _injection(at: str, tissue: Value, place: Place) -> seams.Exchange[Value]:
    """The exchange that injects tissue probabilities at a seam (Fig. 4)."""

    def inject(seam: str, features: dict[str, Value]) -> dict[str, Value]:
        if seam != at:
            return features
        cell = features['cell']
        context = alignment.crop_upsample(tissue, place, cell.size)
        return {'cell': cell.graph.concat(cell, context)}

    return inject


def _sharing(directions: Mapping[str, str], scope: Scope, place: Place) -> seams.Exchange[Value]:
    """The exchange of features that both branches share (Fig. 5, 6)."""
    bring = {'cell': alignment.crop_upsample, 'tissue': alignment.downsample_pad}

    def share(seam: str, features: dict[str, Value]) -> dict[str, Value]:
        result = dict(features)
        for way, (giver, taker) in WAYS.items():
            if directions.get(seam, 'none') not in (way, 'both'):
                continue
            conv = scope / f'sharing_{seam}' / f'{giver}_to_{taker}'
            own = features[taker]
            given = bring[taker](layers.conv_bn(conv, features[giver]), place, own.size)
            result[taker] = own.graph.concat(own, given)
        return result

    return share


def _mfovce(encoder_name: str, scope: Scope, batch: _Batch) -> Value:
    """Probabilities of the cell patch, [B,C,H,W]."""
    stride = MFoVCENet.STRIDE
    tissue, cell = (
        branches.encode(scope / name / 'encoder', batch.image(name), encoder_name, stride)
        for name in ('tissue', 'cell')
    )
    head, place = scope / 'cell_head', batch.place()
    stem, *deeper = cell
    aggregated = []
    for level, (own, wide) in enumerate(zip(deeper, tissue[1:], strict=True), start=1):
        wide = alignment.crop_upsample(wide, place, own.size)
        joined = own.graph.concat(own, wide)
        aggregated.append(layers.conv_bn(head / f'aggregate{level}', joined))
    *skips, high = aggregated
    # the context encoding: channels scaled by gates, made of the means over both fields of view
    means = high.graph.concat(layers.mean(cell[-1]), layers.mean(tissue[-1]))
    hidden = high.graph.add('Relu', layers.dense(head / 'context' / 'squeeze', means))
    high *= high.graph.add('Sigmoid', layers.dense(head / 'context' / 'excite', hidden))
    decoded = branches.decode_unet(head / 'decoder', high, [stem, *skips])
    return _softmax(layers.dense(head / 'classify', decoded))


def _softmax(logits: Value) -> Value:
    return logits.graph.add('Softmax', logits, axis=1)
