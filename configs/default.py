"""Every setting with its default: Pred-to-inter-2 on OCELOT as the paper trains it.

Lengths are in micrometres (um); the patches' microns-per-pixel make pixels of them. The comment
above a field is what the site's reference says of it.
"""

from typing import Any

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict(
        {
            # of weights, of the order of pairs, and of all that is drawn in training
            'seed': 0,
            # how often each training pair is seen
            'num_epochs': 300,
            # what a sweep calls the change that this run tries; reports compare the runs of a
            # name with those of none
            'variant': '',
            # distance up to which a detection counts as a cell, um (Sec. 4.2)
            'match_distance_um': 3.0,
            # whether predictions are means over the eight symmetries of the square, at eight
            # times the cost
            'test_time_augmentation': False,
            'data': _data(),
            'model': _model(),
            'target': _target(),
            # of both branches, by its name in `ocelot_jax/training/losses.py`: `dice` (the
            # paper), `cross_entropy`, `balanced_cross_entropy` or `focal`; or a sum, as
            # `dice+cross_entropy`
            'loss': 'dice',
            # weight of the tissue branch's loss beside the cell branch's; without it (0) the
            # classes of the tissue branch mean nothing, so they are not scored
            'tissue_loss_weight': 1.0,
            'told_tissue': _told_tissue(),
            'augment': _augment(),
            'optimizer': _optimizer(),
            'detection': _detection(),
        }
    )
    # an unknown field is an error, in a file as on the command line
    return config.lock()


def _data() -> dict[str, Any]:
    """Which pairs, and how many at a time."""
    return {
        # a TFDS data set, or a directory or zip in OCELOT's layout
        'source': 'ocelot',
        # names of the cells' labels 1, 2, ...
        'cell_classes': ('BC', 'TC'),
        # names of the tissue's labels 0, 1, ...
        'tissue_classes': ('BG', 'CA'),
        # whether the tissue branch sees the tissue patch, or the cell patch with the
        # label of its region (the ablation of Sec. 6.4)
        'large_fov': True,
        # cross-validation: the slides of the training and the validation split are dealt to so
        # many folds; 0 for none
        'folds': 0,
        # the fold that is the test split; the next one is the validation split
        'fold': 0,
        # pairs of a step, over all devices and hosts together
        'batch_size': 8,
        # most annotated cells that a patch may hold
        'max_cells': 2048,
    }


def _model() -> dict[str, Any]:
    """The network."""
    return {
        # `deeplabv3plus`, `unet` or `mfovce`
        'architecture': 'deeplabv3plus',
        # `resnet18`, `resnet34` or `resnet50`; in `deeplabv3plus` also `vit` or `convnext`, of the
        # sizes below
        'encoder_name': 'resnet34',
        # of the tissue branch, by the same names; `''` for the same
        'tissue_encoder_name': '',
        'vit': _vit(),
        'convnext': _convnext(),
        # what the cell branch is told of the tissue: `none`, `label`, `prediction` or `features`
        'context': 'prediction',
        # where label or prediction are injected: `input`, `encoder`, `aspp` or `decoder`
        'seam': 'aspp',
        # whether the cell loss trains the tissue branch through its injected prediction
        'context_gradient': True,
        # deviation of the noise on the tissue logits that the cell branch is told in training
        'context_noise': 0.0,
        'sharing': _sharing(),
        # whether both branches learn one encoder, each with batch statistics of its own
        'tied_encoders': False,
        # probability of spatial dropout in the cell branch's encoder; the paper tries 0.1, 0.3
        # and 0.5 (App. B)
        'cell_dropout': 0.1,
        # the same of the tissue branch; 0.1 in the paper (App. B)
        'tissue_dropout': 0.1,
        # probability of dropout after the ASPP's projection, as the reference network has it
        'aspp_dropout': 0.5,
        # whether to compute inner activations anew in the backward pass, to save memory
        'remat': False,
        # type of what is computed: `float32`, or `bfloat16`, for GPUs and TPUs, which do it faster
        'dtype': 'float32',
        # file of weights to start from: `.safetensors`, or `.pth`, `.pt`, `.bin` with PyTorch at
        # hand; `''` for none
        'pretrained': '',
        # which branches take them
        'pretrained_branches': ('cell', 'tissue'),
        # mean color, of 0 to 1, of the images that a pretrained `vit` or `convnext` was trained
        # on; here, and for ResNets always, ImageNet's
        'pretrained_mean': (0.485, 0.456, 0.406),
        # standard deviation of these
        'pretrained_std': (0.229, 0.224, 0.225),
    }


def _vit() -> dict[str, Any]:
    """Timm's VisionTransformer, by its arguments: a ViT-S/16."""
    return {
        # side of the images that it was trained on, px
        'img_size': 224,
        # side of a patch, px
        'patch_size': 16,
        # channels of a token
        'embed_dim': 384,
        # blocks
        'depth': 12,
        # 0 for what timm's models of that `embed_dim` have: one for 64 channels, but 16 of 1152,
        # 1280, 1408 and 1664
        'num_heads': 0,
        # outputs of a block's first MLP layer over `embed_dim`
        'mlp_ratio': 4.0,
        # `Mlp` (GELU) or `SwiGLUPacked`
        'mlp_layer': 'Mlp',
        # first values of LayerScale; 0 for none
        'init_values': 0.0,
        # whether there is a class token beside the patches' tokens
        'class_token': True,
        # register tokens beside the patches'
        'reg_tokens': 0,
        # whether these further tokens have no position
        'no_embed_class': False,
    }


def _convnext() -> dict[str, Any]:
    """Timm's ConvNeXt, by its arguments: a ConvNeXt-T."""
    return {
        # blocks of its four stages
        'depths': (3, 3, 9, 3),
        # channels of its four stages
        'dims': (96, 192, 384, 768),
    }


def _sharing() -> dict[str, Any]:
    """Which way features are shared at each seam: `none`, `c2t`, `t2c` or `both`.

    The paper does not say which of the 64 candidates (Sec. 5.3) was best; these are the seams at
    which injection works, and the cheap ones.
    """
    return {
        # after the encoder
        'encoder': 'both',
        # after the ASPP
        'aspp': 'both',
        # after the decoder
        'decoder': 'none',
    }


def _target() -> dict[str, Any]:
    """What the cell branch is to predict (Sec. 4.1)."""
    return {
        # of the disk that is drawn for each cell, um
        'disk_radius_um': 1.4,
        # `disk` (the paper), or `gaussian`, which is a half at that radius (SoftCTM)
        'profile': 'disk',
    }


def _told_tissue() -> dict[str, Any]:
    """Telling the cell branch of context prediction the true tissue (scheduled sampling)."""
    return {
        # how likely it is told at first, for each pair
        'probability': 0.0,
        # at which share of the training no more; in between it falls linearly
        'until': 0.5,
    }


def _augment() -> dict[str, Any]:
    """Augmentation (App. B): how often, and by how much at most; colors are from 0 to 1."""
    return {
        # of a horizontal flip
        'flip_probability': 0.5,
        # of a turn by 90, 180 or 270 degrees; 0.75 makes all four ways alike
        'rotate_probability': 0.75,
        # of a Gaussian blur, for each patch
        'blur_probability': 0.5,
        # the blur's largest standard deviation, px; drawn from 0 up
        'blur_sigma': 1.0,
        # of Gaussian noise, for each patch
        'noise_probability': 0.5,
        # the noise's largest standard deviation; drawn from 0 up
        'noise_std': 0.05,
        # of another brightness, contrast, saturation and hue, the same for both patches
        'color_probability': 0.5,
        # largest shift of all channels
        'brightness': 0.1,
        # largest relative change of contrast
        'contrast': 0.1,
        # largest relative change of saturation
        'saturation': 0.1,
        # largest shift of the hue, as a share of the color circle
        'hue': 0.05,
        # of other amounts of hematoxylin and eosin, the same for both patches
        'stain_probability': 0.0,
        # largest change of these amounts (Tellez et al. 2019): 0.05 is light, 0.2 strong
        'stain': 0.1,
        # of another scale of both patches: scanners and nuclei differ in size
        'scale_probability': 0.0,
        # largest magnification less one; patches are shrunk by as much at most
        'scale': 0.2,
    }


def _optimizer() -> dict[str, Any]:
    """The optimizer; its rate rises linearly, then falls by half a cosine to 0."""
    return {
        # by its name in `ocelot_jax/training/optimizer.py`
        'name': 'adam',
        # the largest; the paper tunes it within 5e-5 and 2e-3
        'learning_rate': 1e-3,
        # by which the cell branch's rate is multiplied; the paper tries 1 and 0.5 (App. B)
        'cell_lr_multiplier': 1.0,
        # the same of the encoders in `model.pretrained_branches`; 0 freezes them
        'encoder_lr_multiplier': 1.0,
        # over which the rate rises from 0; half of the training at most
        'warmup_epochs': 1.0,
        # what is evaluated is a running average of weights and batch statistics over
        # about 1 / (1 - decay) steps; 0 for the last step's own, as in the paper
        'average_decay': 0.0,
    }


def _detection() -> dict[str, Any]:
    """How cells are found in what the network predicts: as local peaks (Sec. 5.1, App. B)."""
    return {
        # standard deviation of the Gaussian that smooths the map of peaks, um; 0 for none
        'sigma_um': 0.6,
        # least distance of two cells, um
        'min_distance_um': 1.4,
        # what the smoothed probability of a cell, of any class, exceeds at a peak
        'threshold': 0.1,
        # by which the log-odds of confidences are divided; tuning makes them mean how
        # often a cell is a true one
        'temperature': 1.0,
        # most cells that are found in a patch
        'max_cells': 2048,
        # `jax` (on the device) or `skimage` (the reference, on the host)
        'backend': 'jax',
    }
