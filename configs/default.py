"""Every setting with its default: Pred-to-inter-2 on OCELOT as the paper trains it.

Lengths are in micrometres; the patches' microns-per-pixel make pixels of them.
"""

from typing import Any

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict(
        {
            'seed': 0,
            'num_epochs': 300,
            # what a sweep calls the change that this run tries; reports compare the runs of a
            # name with those of none
            'variant': '',
            # distance up to which a detection counts as a cell (Sec. 4.2)
            'match_distance_um': 3.0,
            # whether predictions are means over the eight symmetries of the square, at eight
            # times the cost
            'test_time_augmentation': False,
            'data': _data(),
            'model': _model(),
            'target': {
                'disk_radius_um': 1.4,
                # disk (the paper), or gaussian, which is a half at that radius (SoftCTM)
                'profile': 'disk',
            },
            # of both branches, by its name in ocelot_jax/training/losses.py; dice+cross_entropy
            # is a sum
            'loss': 'dice',
            # weight of the tissue branch's loss beside the cell branch's; without it (0) the
            # classes of the tissue branch mean nothing, so they are not scored
            'tissue_loss_weight': 1.0,
            # how likely the cell branch of context prediction is told the true tissue: at first,
            # and at which share of the training no more (scheduled sampling)
            'told_tissue': {'probability': 0.0, 'until': 0.5},
            'augment': _augment(),
            'optimizer': {
                # by its name in ocelot_jax/training/optimizer.py
                'name': 'adam',
                # the paper tunes it within [5e-5, 2e-3]
                'learning_rate': 1e-3,
                'cell_lr_multiplier': 1.0,
                # of the encoders in model.pretrained_branches; 0 freezes them
                'encoder_lr_multiplier': 1.0,
                'warmup_epochs': 1.0,
                # what is evaluated is a running average of weights and batch statistics over
                # about 1 / (1 - decay) steps; 0 for the last step's own, as in the paper
                'average_decay': 0.0,
            },
            'detection': {
                'sigma_um': 0.6,
                'min_distance_um': 1.4,
                'threshold': 0.1,
                # by which the log-odds of confidences are divided; tuning makes them mean how
                # often a cell is a true one
                'temperature': 1.0,
                'max_cells': 2048,
                # jax (on the device) or skimage (the reference, on the host)
                'backend': 'jax',
            },
        }
    )
    # an unknown field is an error, in a file as on the command line
    return config.lock()


def _data() -> dict[str, Any]:
    """Which pairs, and how many at a time."""
    return {
        # a TFDS data set, or a directory or zip in OCELOT's layout
        'source': 'ocelot',
        'cell_classes': ('BC', 'TC'),
        'tissue_classes': ('BG', 'CA'),
        # whether the tissue branch sees the tissue patch, or the cell patch with the
        # label of its region (the ablation of Sec. 6.4)
        'large_fov': True,
        # cross-validation: the slides of the training and the validation split are dealt to so
        # many folds; 0 for none
        'folds': 0,
        # the fold that is the test split; the next one is the validation split
        'fold': 0,
        # over all devices and hosts
        'batch_size': 8,
        # most cells that a patch may hold
        'max_cells': 2048,
    }


def _model() -> dict[str, Any]:
    """The network."""
    return {
        # deeplabv3plus, unet or mfovce
        'architecture': 'deeplabv3plus',
        # resnet18, resnet34 or resnet50; in deeplabv3plus vit or convnext, too, of the sizes below
        'encoder_name': 'resnet34',
        # of the tissue branch; '' for the same
        'tissue_encoder_name': '',
        'vit': _vit(),
        # timm's ConvNeXt: blocks and channels of its stages; these are ConvNeXt-T's
        'convnext': {'depths': (3, 3, 9, 3), 'dims': (96, 192, 384, 768)},
        # none, label, prediction or features: what the cell branch is told of the tissue
        'context': 'prediction',
        # input, encoder, aspp or decoder: where label or prediction are injected
        'seam': 'aspp',
        # whether the cell loss trains the tissue branch through its injected prediction
        'context_gradient': True,
        # deviation of the noise on the tissue logits that the cell branch is told in training
        'context_noise': 0.0,
        # which way features are shared: none, c2t, t2c or both. The paper does not say
        # which of the 64 candidates was best; these are the seams at which injection
        # works, and the cheap ones.
        'sharing': {'encoder': 'both', 'aspp': 'both', 'decoder': 'none'},
        # whether both branches learn one encoder, each with batch statistics of its own
        'tied_encoders': False,
        # spatial dropout of each branch's encoder; the paper tries 0.1, 0.3, 0.5 (cell)
        'cell_dropout': 0.1,
        'tissue_dropout': 0.1,
        # dropout after the ASPP's projection, as the reference network has it
        'aspp_dropout': 0.5,
        # whether to compute inner activations anew in the backward pass, to save memory
        'remat': False,
        # of what is computed: float32, or bfloat16, which GPUs and TPUs do faster
        'dtype': 'float32',
        # weights to start from: .safetensors, or .pth, .pt, .bin with PyTorch at hand
        'pretrained': '',
        # which branches take them
        'pretrained_branches': ('cell', 'tissue'),
        # how images are standardised for which a pretrained vit or convnext was trained: here
        # and for ResNets as for ImageNet
        'pretrained_mean': (0.485, 0.456, 0.406),
        'pretrained_std': (0.229, 0.224, 0.225),
    }


def _vit() -> dict[str, Any]:
    """Timm's VisionTransformer, by its arguments: a ViT-S/16."""
    return {
        # side of the images that it was trained on, and of a patch
        'img_size': 224,
        'patch_size': 16,
        'embed_dim': 384,
        'depth': 12,
        # 0 for what timm's models of that embed_dim have: one for 64 channels, but 16 of 1152,
        # 1280, 1408 and 1664
        'num_heads': 0,
        'mlp_ratio': 4.0,
        # Mlp (GELU) or SwiGLUPacked
        'mlp_layer': 'Mlp',
        # first values of LayerScale; 0 for none
        'init_values': 0.0,
        # tokens beside the patches', and whether they have no position
        'class_token': True,
        'reg_tokens': 0,
        'no_embed_class': False,
    }


def _augment() -> dict[str, Any]:
    """Augmentation (Appendix B): how often, and by how much at most."""
    return {
        'flip_probability': 0.5,
        'rotate_probability': 0.75,
        'blur_probability': 0.5,
        'blur_sigma': 1.0,
        'noise_probability': 0.5,
        'noise_std': 0.05,
        'color_probability': 0.5,
        'brightness': 0.1,
        'contrast': 0.1,
        'saturation': 0.1,
        'hue': 0.05,
        # amounts of hematoxylin and eosin (Tellez et al. 2019): 0.05 is light, 0.2 strong
        'stain_probability': 0.0,
        'stain': 0.1,
        # scanners and nuclei differ in size
        'scale_probability': 0.0,
        'scale': 0.2,
    }
