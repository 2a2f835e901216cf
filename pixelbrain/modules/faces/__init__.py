"""Faces: found, turned upright, looked at, embedded; `facenet` is the module made of them.

| what | file | role |
| --- | --- | --- |
| `align` | align | a face out of its photo, as its landmarks turn, scale and move it |
| `Face` | detector | every face of a photo: box, landmarks, probability, sharpness, pixels |
| `FaceEmbedder` | embedders | from a face to a vector: InceptionResnetV1 (FaceNet), or dlib's network |
| `FaceModule` | module | what a module is that looks at each face that was found |
| `measure_visible` | looks | whether a face is upright, and its eyes and mouth are to be seen |
| `Mtcnn` | mtcnn | the face detector's three networks, over photos of any sizes at once |
| `OnnxEmbedder` | onnx_embedder | a model like ArcFace, in an ONNX file of the user's own |
"""
