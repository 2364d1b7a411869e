/** The pages in the order of their tabs. Each is a component without arguments, in a folder of its own. */
import type { ComponentType } from "react";

import { Control } from "src/pages/Control/Control";
import { Experiments } from "src/pages/Experiments/Experiments";
import { Games } from "src/pages/Games/Games";
import { Hosts } from "src/pages/Hosts/Hosts";
import { Models } from "src/pages/Models/Models";
import { Overview } from "src/pages/Overview/Overview";
import { Play } from "src/pages/Play/Play";

export interface PageEntry {
  /** Below `/plugin/ringrift/`; the first page has none. */
  path: string;
  label: string;
  Page: ComponentType;
}

export const PAGES: PageEntry[] = [
  { path: "", label: "Overview", Page: Overview },
  { path: "games", label: "Games", Page: Games },
  { path: "play", label: "Play", Page: Play },
  { path: "models", label: "Models", Page: Models },
  { path: "hosts", label: "Hosts", Page: Hosts },
  { path: "experiments", label: "Experiments", Page: Experiments },
  { path: "control", label: "Control", Page: Control },
];
