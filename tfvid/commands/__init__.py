"""What each script does: parse, call, write."""
