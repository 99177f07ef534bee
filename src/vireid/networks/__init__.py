"""Networks: backbones, pooling, necks and their start weights. Import each module by its own name; all need torch."""
