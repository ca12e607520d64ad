import { defineConfig } from "vite";

/** Where `npm run dev` finds a running server; the built pages never see this. */
const SERVER = process.env["TRADEWIND_SERVER"] ?? "http://localhost:8080";

export default defineConfig({
  // Relative addresses: the server puts the pages under any path and says so in <base href>.
  base: "./",
  esbuild: { jsx: "automatic" },
  build: {
    target: "es2022",
    outDir: process.env["TRADEWIND_UI_OUT"] ?? "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  server: { proxy: { "/api": SERVER, "/auth": SERVER } },
});
