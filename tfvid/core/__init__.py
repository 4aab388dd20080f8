"""What everything else stands on: errors, files, the registry of parts, engines. Imports nothing else of tfvid."""
