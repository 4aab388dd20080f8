// Follows TensorBoard's light or dark theme. TensorBoard has no interface for it, so the theme is read from the
// class of its <body>. Outside TensorBoard the system's setting applies.
function host() {
  try {
    return window.parent === window ? null : window.parent.document.body;
  } catch {
    return null; // a page of another origin
  }
}

export function followTheme() {
  const body = host();
  const system = matchMedia("(prefers-color-scheme: dark)");
  const set = () => {
    const dark = body ? body.classList.contains("dark-mode") : system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  if (body) new MutationObserver(set).observe(body, { attributes: true, attributeFilter: ["class"] });
  else system.addEventListener("change", set);
  set();
}
