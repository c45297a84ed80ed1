"""What may be deleted from a registry: reading, deciding, deleting and proving that nothing needed went."""
