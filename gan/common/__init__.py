"""What every part uses: errors, options, files, the device."""
