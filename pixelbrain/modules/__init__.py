"""Models, each a batch of images in and one struct column out.

| what | file | role |
| --- | --- | --- |
| `Backbone` | backbones | the image classifiers to choose from: class names, preprocessing, loading |
| `PipelineModule` | base | what a module is: a batch of images in, one struct column out |
| `ClipEmbedderModule` | clip | a vector a photo that words are compared with |
| `ClipLabelsModule` | clip_labels | which of the user's own labels fits that vector best, if any does |
| `ExifModule` | exif | what cameras and people wrote into a photo: time, camera, exposure, place, keywords |
| `FacenetEmbedderModule` | facenet | all faces of a photo, embedded: what identities are clustered from |
| `fuse_convolutions` | fused | convolutions that do what follows them, on a CPU |
| `load_state` | inference | loads a state dict safely, folds batch norms, picks the fastest exact-enough dtype |
| `create_module` | registry | from a module's name, or `package.file:Class`, to the module |
| `QualityModule` | quality | how sharp, bright and clipped a photo is, and a perceptual hash of it |
| `resolve` | requires | modules that stand on others: who gives what they require, and in which order they run |
| `ResnetClassifierModule` | resnet | the likeliest ImageNet classes, and an embedding for visual similarity |
| a room | faces/ | faces: found, turned upright, looked at, embedded |
| a room | weights/ | weights: which there are, where they are, and how they get here |
| a room | words/ | CLIP: its two towers, its texts and labels |
"""
