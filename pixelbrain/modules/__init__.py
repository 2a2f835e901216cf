"""Models, each a batch of images in and one struct column out.

| file           | role
| -------------- | ----
| backbones      | The image classifiers to choose from: their class names, their preprocessing, and how they are loaded
| base           | What a module is: a batch of images in, one struct column out
| dlib_embedder  | dlib's face recognition network, whose weights come in a package: 128 numbers a face, without a
| face_embedders | From a face to a vector: what every face embedder is, and InceptionResnetV1 (FaceNet)
| facenet        | Find all faces of a photo and embed them: the column that identities are clustered from
| faces          | Find every face of a photo: box, landmarks, detection probability, sharpness, and its pixels for an
| inference      | What every torch model here does: load a state dict safely, fold batch norms, pick the fastest
| registry       | From a module's name, or `package.file:Class`, to the module
| resnet         | Classify photos: the likeliest ImageNet classes with probabilities, and a pooled embedding for visual
| weights/       | Weights: which there are, where they are, and how they get here
"""
