"""What a person looks at: films, sheets and the page."""
