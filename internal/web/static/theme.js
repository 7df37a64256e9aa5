// What a browser can do and the theme are told before anything is drawn, so that
// no button comes later and pushes others away, and a dark page never flashes white.
document.documentElement.dataset.scripts = navigator.clipboard ? 'copy' : ''; // browsers have no clipboard over plain HTTP
try {
  const chosen = localStorage.getItem('masu-theme');
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch { /* a private window follows the system */ }
