"""The cell-tissue models: a cell branch that may know the tissue around it (Sec. 4.2, 5)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocelot_jax.models import alignment, deeplab

Array = jax.Array

CONTEXTS = ('none', 'label', 'prediction')


class CellTissue(nn.Module):
    """Cell detection with tissue context injected at one seam of the cell branch.

    | paper's name         | context      | seam                              |
    |----------------------|--------------|-----------------------------------|
    | Cell-only            | `none`       |                                   |
    | Tissue-label leaking | `label`      | `input`                           |
    | Pred-to-input        | `prediction` | `input`                           |
    | Pred-to-inter-1, -2  | `prediction` | `encoder`, `aspp`                 |
    | Pred-to-output       | `prediction` | `decoder`                         |

    Attributes:
        cell_classes: number K of cell classes; "no cell" comes on top.
        tissue_classes: number T of tissue classes.
        context: what is injected: nothing, the true tissue, or the tissue branch's prediction.
        seam: where, one of `deeplab.SEAMS`.
        cell_dropout: spatial dropout of the cell branch's encoder.
        tissue_dropout: the same for the tissue branch.
        aspp_dropout: dropout after the projection of either branch's ASPP.
        axis_name: mapped axis over which batch statistics are averaged in training, if any.
    """

    cell_classes: int
    tissue_classes: int
    context: str = 'prediction'
    seam: str = 'aspp'
    cell_dropout: float = 0.1
    tissue_dropout: float = 0.1
    aspp_dropout: float = 0.5
    axis_name: str | None = None

    @nn.compact
    def __call__(self, batch: dict[str, Array], *, train: bool) -> dict[str, Array | None]:
        """Applies the model.

        Args:
            batch: `cell_image`, `tissue_image` [B,H,W,3] normalised, `center` [B,2],
                `cell_mpp`, `tissue_mpp` [B] and, for context `label`, `tissue_mask` [B,h,w].
            train: whether dropout acts and batch statistics are those of the batch.

        Returns:
            `cell_logits` [B,H,W,1+K] and `tissue_logits` [B,h,w,T], None without a tissue branch.
        """
        shared = {'aspp_dropout': self.aspp_dropout, 'axis_name': self.axis_name}
        tissue_logits, tissue = None, None
        if self.context == 'prediction':
            tissue_branch = deeplab.DeepLabV3Plus(
                self.tissue_classes, self.tissue_dropout, **shared, name='tissue'
            )
            tissue_logits, _ = tissue_branch(batch['tissue_image'], train=train)
            tissue = nn.softmax(tissue_logits)
        elif self.context == 'label':
            tissue = jax.nn.one_hot(batch['tissue_mask'], self.tissue_classes)

        def inject(seam: str, features: Array) -> Array:
            if tissue is None or seam != self.seam:
                return features
            context = alignment.crop_upsample(
                tissue, batch['center'], alignment.fov_ratio(batch), features.shape[1:3]
            )
            return jnp.concatenate([features, context], -1)

        cell_branch = deeplab.DeepLabV3Plus(
            1 + self.cell_classes, self.cell_dropout, **shared, name='cell'
        )
        cell_logits, _ = cell_branch(batch['cell_image'], train=train, inject=inject)
        return {'cell_logits': cell_logits, 'tissue_logits': tissue_logits}
