"""What each call uses of AWS, and what that costs."""
