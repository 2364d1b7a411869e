/** What every chart needs: the host's colors on a canvas, uPlot's few rules of style, and a plot that fits its place. */
import { type RefObject, useEffect } from "react";
import uPlot from "uplot";
import style from "uplot/dist/uPlot.min.css?inline";

import { useColorMode } from "src/components/useColorMode";

export const COLORS = ["blue", "orange", "green", "purple", "red", "teal", "pink", "yellow"] as const;

/**
 * Draw a plot into an element, anew when what it shows or the host's color mode has changed.
 *
 * @param content stands for everything that `make` shows: the same text, the same plot
 * @param make options without width, and the data
 */
export function usePlot(
  place: RefObject<HTMLDivElement | null>,
  content: string,
  make: (element: HTMLElement) => [Omit<uPlot.Options, "width">, uPlot.AlignedData],
) {
  const mode = useColorMode();
  useEffect(() => {
    const element = place.current;
    if (element === null) {
      return undefined;
    }
    addStyle();
    const [options, data] = make(element);
    const plot = new uPlot({ ...options, width: element.clientWidth }, data, element);
    const watcher = new ResizeObserver(() => plot.setSize({ height: options.height, width: element.clientWidth }));
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      plot.destroy();
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `content` stands for `make`
  }, [content, mode]);
}

/** An axis in the host's colors. */
export function axisOf(element: HTMLElement): uPlot.Axis {
  return {
    font: "11px system-ui, sans-serif",
    grid: { stroke: token(element, "border"), width: 1 },
    stroke: token(element, "fg-muted"),
    ticks: { show: false },
  };
}

/** A color of the host's theme in its present mode; a canvas knows no variables. */
export function token(element: HTMLElement, name: string): string {
  return getComputedStyle(element).getPropertyValue(`--chakra-colors-${name}`).trim() || "#71717a";
}

export function translucent(color: string): string {
  return `color-mix(in srgb, ${color} 18%, transparent)`;
}

function addStyle() {
  const id = "ringrift-uplot";
  if (document.getElementById(id) === null) {
    document.head.append(Object.assign(document.createElement("style"), { id, textContent: style }));
  }
}
