"""What is measured, beside what it is measured against. Ratios within one run; no test times anything."""
