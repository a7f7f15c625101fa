"""Published protocols: ITOP, COCO, Human3.6M."""
