"""One file for each data set that tfvid reads, and for the drawn shapes."""
