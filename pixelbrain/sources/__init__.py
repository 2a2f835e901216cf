"""Lists images on disk, in S3 or in a manifest, and reads their bytes."""
