"""The blocks of an implant: a file for each family, a record with prices for each member."""
