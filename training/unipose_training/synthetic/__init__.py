"""RGB-D images of people with 3D ground truth: body, motion, clothes, room, camera and sensor.

World frame: meters, z up. A body at rest faces -y (the convention of the anny model).
"""
