"""What an engine is told: the file, its entries, the modules they ask for, where data lives."""
