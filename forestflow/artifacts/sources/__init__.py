"""Where models come from: directories, git, S3, HTTP and whatever fsspec has a driver for, brought into a folder."""
