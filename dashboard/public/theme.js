// Runs before the first paint, so that a remembered theme does not flash. A file of its own, because
// the page allows no inline scripts.
try {
  const theme = localStorage.getItem('barograph.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: the system's preference applies.
}
