"""Models, each a batch of images in and one struct column out.

| what | file | role |
| --- | --- | --- |
| `align` | align | a face out of its photo, as its landmarks turn, scale and move it |
| `Backbone` | backbones | the image classifiers to choose from: class names, preprocessing, loading |
| `PipelineModule` | base | what a module is: a batch of images in, one struct column out |
| `FaceEmbedder` | face_embedders | from a face to a vector: InceptionResnetV1 (FaceNet), or dlib's network |
| `FacenetEmbedderModule` | facenet | all faces of a photo, embedded: what identities are clustered from |
| `Face` | faces | every face of a photo: box, landmarks, probability, sharpness, pixels |
| `load_state` | inference | loads a state dict safely, folds batch norms, picks the fastest exact-enough dtype |
| `measure_visible` | looks | whether a face is upright, and its eyes and mouth are to be seen |
| `Mtcnn` | mtcnn | the face detector's three networks, over photos of any sizes at once |
| `OnnxEmbedder` | onnx_embedder | a model like ArcFace, in an ONNX file of the user's own |
| `create_module` | registry | from a module's name, or `package.file:Class`, to the module |
| `ResnetClassifierModule` | resnet | the likeliest ImageNet classes, and an embedding for visual similarity |
| a room | weights/ | weights: which there are, where they are, and how they get here |
"""
