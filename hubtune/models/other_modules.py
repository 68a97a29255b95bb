"""Modules of PaddleHub for one purpose, whose weights exist only inside them, and what to take instead."""

# What each is, and the backbone to take.
_MODULES = {
    "mobilenet_v2_animals": ("a MobileNetV2 for 7,978 animals", "mobilenet_v2_imagenet"),
    "mobilenet_v2_dishes": ("a MobileNetV2 for 8,416 dishes", "mobilenet_v2_imagenet"),
    "resnet50_vd_animals": ("a ResNet50_vd for 7,978 animals", "resnet50_vd_imagenet_ssld"),
    "resnet50_vd_dishes": ("a ResNet50_vd for 8,416 dishes", "resnet50_vd_imagenet_ssld"),
    "resnet50_vd_wildanimals": (
        "a ResNet50_vd for ten wild animals and products of them",
        "resnet50_vd_imagenet_ssld",
    ),
    "food_classification": ("a ResNet50_vd for food", "resnet50_vd_imagenet_ssld"),
    "marine_biometrics": ("a ResNet50_vd for 23 fishes", "resnet50_vd_imagenet_ssld"),
    "SnakeIdentification": ("a ResNet50_vd for five snakes", "resnet50_vd_imagenet_ssld"),
    "DriverStatusRecognition": (
        "a MobileNetV3_small for ten states of drivers",
        "mobilenet_v3_small_imagenet_ssld",
    ),
    "SpinalNet_Gemstones": ("a folder of three networks for gemstones", "resnet50_imagenet"),
    "spinalnet_res50_gemstone": ("a ResNet50 with the head of SpinalNet for gemstones", "resnet50_imagenet"),
    "spinalnet_res101_gemstone": (
        "a ResNet101 with the head of SpinalNet for gemstones",
        "resnet101_imagenet",
    ),
    "spinalnet_vgg16_gemstone": ("a VGG16 with the head of SpinalNet for gemstones", "vgg16_imagenet"),
}


def other_module_advice(name: str) -> str:
    """Return what to say of a module of PaddleHub for one purpose; empty for other names."""
    if name not in _MODULES:
        return ""
    content, backbone = _MODULES[name]
    return (
        f" PaddleHub's module of this name is {content}, and its weights are only inside it: fine-tune "
        f"'{backbone}' on your own photos."
    )
