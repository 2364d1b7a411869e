import { useSyncExternalStore } from "react";

/** The host's mode as its root element says; for what cannot be styled by the theme, such as a canvas. */
export const useColorMode = (): "dark" | "light" => useSyncExternalStore(watch, now);

function watch(changed: () => void) {
  const watcher = new MutationObserver(changed);
  watcher.observe(document.documentElement, { attributeFilter: ["class", "style", "data-theme"], attributes: true });
  return () => watcher.disconnect();
}

const now = () => (document.documentElement.classList.contains("dark") ? "dark" : "light");
