import { createRoot } from "react-dom/client";
import { App } from "./app";
import { startSession } from "./state/session";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/dag.css";

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(<App />);
  void startSession();
}
