"""From a video file or a folder of pictures to the frames of one clip."""
