// Light or dark, as TensorBoard is. It does not tell its plugins, but marks its own body, which this frame may read;
// elsewhere the system's choice counts.
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
