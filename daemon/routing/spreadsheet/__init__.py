"""The routing table as a spreadsheet, and back."""
