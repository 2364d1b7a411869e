import { useCallback, useState } from "react";

/**
 * The parameters of the page's address, and a way to change them.
 *
 * Not the router's: Airflow mounts the page anew at each change that the router sees, and what a person types would lose
 * its focus with every letter. A link to the address finds the same place all the same.
 */
export function useAddress(): [URLSearchParams, (change: (params: URLSearchParams) => void) => void] {
  const [params, setParams] = useState(() => new URLSearchParams(window.location.search));
  const change = useCallback((edit: (params: URLSearchParams) => void) => {
    const next = new URLSearchParams(window.location.search);
    edit(next);
    const query = next.size === 0 ? "" : `?${next}`;
    window.history.replaceState(window.history.state, "", `${window.location.pathname}${query}${window.location.hash}`);
    setParams(next);
  }, []);
  return [params, change];
}
