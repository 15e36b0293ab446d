/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Values under the pointer and by the arrow keys, the theme, and saving the data. All else of the page does without. */
"use strict";
(() => {
	const root = document.documentElement;
	const tip = document.getElementById("tip");
	const text = document.getElementById("data").textContent;
	const runs = JSON.parse(text).runs;
	const svgns = "http://www.w3.org/2000/svg";

	function draw(group, name, attributes) {
		const e = document.createElementNS(svgns, name);
		for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
		group.appendChild(e);
	}

	/* The first line is the heading. Text only: nothing of it is ever taken for markup. */
	function say(words, x, y) {
		const lines = words.split("\n");
		const first = document.createElement("b");
		first.textContent = lines.shift();
		tip.replaceChildren(first, document.createTextNode(lines.length ? "\n" + lines.join("\n") : ""));
		tip.hidden = false;
		const box = tip.getBoundingClientRect();
		const left = x + 16 + box.width > innerWidth ? x - 16 - box.width : x + 16;
		const top = Math.min(y + 14, innerHeight - box.height - 8);
		tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
	}

	function hush(svg) {
		tip.hidden = true;
		svg.querySelector(".cursor").replaceChildren();
	}

	/* Where a point of the picture is in the window. */
	function inWindow(svg, x, y) {
		const p = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
		return [p.x, p.y];
	}

	/* Keeps what is looked at and lets the arrow keys, Home and End move it. */
	function keys(svg, move) {
		svg.addEventListener("keydown", (e) => {
			const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
				Home: [-1e9, 0], End: [1e9, 0] }[e.key];
			if (e.key === "Escape") hush(svg);
			else if (step && !e.ctrlKey && !e.altKey && !e.metaKey && move(...step)) e.preventDefault();
		});
		svg.addEventListener("blur", () => hush(svg));
		svg.addEventListener("pointerleave", () => hush(svg));
	}

	function plot(svg) {
		const hits = [...svg.querySelectorAll(".hit")];
		const words = hits.map((h) => {
			const t = h.querySelector("title");
			t.remove();
			return t.textContent;
		});
		let at = -1;

		function show(i, x, y) {
			const h = hits[i], cursor = svg.querySelector(".cursor");
			const px = +h.dataset.x, top = +h.getAttribute("y"), bottom = top + +h.getAttribute("height");
			at = i;
			cursor.replaceChildren();
			draw(cursor, "path", { d: `M${px} ${bottom}V${top}` });
			for (const py of h.dataset.y.split(" ").filter(Boolean)) draw(cursor, "circle", { cx: px, cy: py, r: 4 });
			if (x === undefined) [x, y] = inWindow(svg, px, (top + bottom) / 2);
			say(words[i], x, y);
		}

		svg.addEventListener("pointermove", (e) => {
			const i = hits.indexOf(e.target);
			if (i < 0) hush(svg);
			else show(i, e.clientX, e.clientY);
		});
		if (!hits.length) return;
		keys(svg, (dx) => {
			if (dx) show(Math.max(0, Math.min(hits.length - 1, at + dx)));
			return dx !== 0;
		});
	}

	function size(v, units, by) {
		let i = 0;
		while (v >= by && i < units.length - 1) { v /= by; i++; }
		return `${v.toPrecision(v >= 999.5 ? 4 : 3)} ${units[i]}`;
	}
	const bytes = (v) => size(v, ["B", "KiB", "MiB", "GiB", "TiB"], 1024);
	const seconds = (v) => v < 1 && v > 0 ? `${(v * 1e3).toPrecision(3)} ms` : `${v.toPrecision(v >= 1000 ? 6 : 4)} s`;

	function heat(svg) {
		const cells = svg.querySelector(".cells"), series = runs[svg.dataset.run].series;
		const parts = series.heat.parts, n = series.to_s.length;
		const [x0, x1, y0, y1] = ["x0", "x1", "y0", "y1"].map((k) => +cells.dataset[k]);
		const t0 = series.from_s[0], t1 = Math.max(t0 + 1e-3, series.to_s[n - 1]);
		const xOf = (t) => x0 + (x1 - x0) * (t - t0) / (t1 - t0);
		const row = (y0 - y1) / parts.length;
		let col = -1, bin = 0;

		function show(x, y) {
			const cursor = svg.querySelector(".cursor"), p = parts[bin], pages = p.new_pages[col];
			const left = xOf(series.from_s[col]), width = Math.max(2, xOf(series.to_s[col]) - left);
			const logged = series.logged_s[col];
			cursor.replaceChildren();
			draw(cursor, "rect", { x: left - 1, y: y0 - (bin + 1) * row - 1, width: width + 2, height: row + 2 });
			if (x === undefined) [x, y] = inWindow(svg, left + width, y0 - bin * row);
			say(`${bytes(p.from_address)} to ${bytes(p.to_address)}\n` +
				`${seconds(series.from_s[col])} to ${seconds(series.to_s[col])}\n` +
				(logged > 0 ? `newly dirtied  ${bytes(pages * 4096 / logged)}/s, ${pages} pages of ${p.pages}` : "not logged"), x, y);
		}

		svg.addEventListener("pointermove", (e) => {
			const p = new DOMPoint(e.clientX, e.clientY).matrixTransform(svg.getScreenCTM().inverse());
			const t = t0 + (p.x - x0) / (x1 - x0) * (t1 - t0), b = Math.floor((y0 - p.y) / row);
			const c = series.to_s.findIndex((to, i) => t < to && t >= series.from_s[i]);
			if (c < 0 || b < 0 || b >= parts.length) {
				hush(svg);
				return;
			}
			col = c;
			bin = b;
			show(e.clientX, e.clientY);
		});
		keys(svg, (dx, dy) => {
			col = Math.max(0, Math.min(n - 1, col + dx));
			bin = Math.max(0, Math.min(parts.length - 1, bin + dy));
			show();
			return true;
		});
	}

	for (const svg of document.querySelectorAll("svg.plot")) plot(svg);
	for (const svg of document.querySelectorAll("svg.heat")) heat(svg);

	/* Legends switch their line and its band on and off. */
	for (const key of document.querySelectorAll("button.key")) {
		key.addEventListener("click", () => {
			const on = key.getAttribute("aria-pressed") !== "true";
			key.setAttribute("aria-pressed", on);
			for (const e of key.closest("figure").querySelectorAll(`svg .${key.dataset.line}`)) e.classList.toggle("off", !on);
		});
	}

	const theme = document.getElementById("theme");
	const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
	const name = () => { theme.textContent = dark() ? "Light" : "Dark"; };
	try {
		const kept = localStorage.getItem("dirtyprof-theme");
		if (kept === "dark" || kept === "light") root.dataset.theme = kept;
	} catch { /* a page from a file may have no storage */ }
	theme.addEventListener("click", () => {
		root.dataset.theme = dark() ? "light" : "dark";
		try { localStorage.setItem("dirtyprof-theme", root.dataset.theme); } catch { /* likewise */ }
		name();
	});
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
	name();
	theme.hidden = false;

	const save = document.getElementById("save");
	save.addEventListener("click", () => {
		const a = document.createElement("a");
		a.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
		a.download = "dirtyprof.json";
		a.click();
		setTimeout(() => URL.revokeObjectURL(a.href), 1000);
	});
	save.hidden = false;

	/* On paper nothing can be opened. What would take pages is left out there: the plot stands for it. */
	const opened = [];
	addEventListener("beforeprint", () => {
		for (const d of document.querySelectorAll("details:not([open]):not(.long)")) {
			d.open = true;
			opened.push(d);
		}
	});
	addEventListener("afterprint", () => { while (opened.length) opened.pop().open = false; });
	root.dataset.script = "ran";
})();
