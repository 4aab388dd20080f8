"""The records of explained clips, in Parquet files that survive a kill at any moment."""

from tfvid.results.result_store import Result, ResultStore, read_results

__all__ = ["Result", "ResultStore", "read_results"]
