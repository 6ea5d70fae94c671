"""Where bytes are kept: files and folders made whole, locks, object stores."""
