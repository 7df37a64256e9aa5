// The theme is set before anything is drawn, so that a dark page never flashes white.
try {
  const chosen = localStorage.getItem('masu-theme');
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch { /* a private window follows the system */ }
