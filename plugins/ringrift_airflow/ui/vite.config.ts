import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

// What Airflow's page has already and offers as globals. Two Reacts on one page would not work together, and with the
// host's own Chakra the pages have its theme and its light and dark mode.
const HOST = {
  "@chakra-ui/react": "ChakraUI",
  react: "React",
  "react-dom": "ReactDOM",
  "react-router-dom": "ReactRouterDOM",
  "react/jsx-runtime": "ReactJSXRuntime",
};

export default defineConfig(({ mode }) => ({
  // The library's own branches for development are left out, as in the host.
  define: mode === "test" ? {} : { "process.env.NODE_ENV": '"production"' },
  resolve: { alias: { src: fileURLToPath(new URL("src", import.meta.url)) } },
  build: {
    outDir: "bundle",
    emptyOutDir: true,
    target: "es2022",
    lib: { entry: "src/main.tsx", formats: ["iife"], name: "RingRiftPages", fileName: () => "ringrift.js" },
    rollupOptions: { external: Object.keys(HOST), output: { globals: HOST } },
  },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}"],
    // One thread that imports Chakra once; a process for each file takes four times as long.
    isolate: false,
    // A machine that is busy with games is slow; a test that hangs still ends.
    testTimeout: 30_000,
    pool: "threads",
    poolOptions: { threads: { singleThread: true } },
    setupFiles: ["src/test/setup.ts"],
  },
}));
