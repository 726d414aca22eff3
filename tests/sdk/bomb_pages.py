"""Pages that take all they can get."""

FILL = "const part = () => crypto.getRandomValues(new Uint8Array(65536)); const mib = 1 << 20;"
BOMBS = {
    "heap": "const kept = []; for (;;) kept.push(Array.from({length: 1000}, (_, i) => ({i, text: 'x'.repeat(i)})))",
    "arrays": "const kept = []; const more = () => { try { kept.push(new Uint8Array(16 * mib).fill(7)) } catch {} setTimeout(more) }; more()",
    "cache": """(async () => { const cache = await caches.open('x');
        for (let n = 0; ; n++) await cache.put('/' + n, new Response(new Uint8Array(16 * mib).fill(n))) })()""",
    "blobs": "const kept = []; const more = () => { kept.push(new Blob([new Uint8Array(16 * mib).fill(kept.length)])); setTimeout(more, 5) }; more()",
    "database": """const open = indexedDB.open('x'); open.onupgradeneeded = () => open.result.createObjectStore('s');
        open.onsuccess = () => { let n = 0; const more = () => { const t = open.result.transaction('s', 'readwrite');
        t.objectStore('s').put(new Uint8Array(16 * mib).fill(n), n++); t.oncomplete = more; t.onabort = more }; more() }""",
    "workers": """const kept = []; const source = URL.createObjectURL(new Blob(['let x = 0; for (;;) x++']));
        const more = () => { try { kept.push(new Worker(source)) } catch {} if (kept.length < 300) setTimeout(more, 1) }; more()""",
    "frames": """let n = 0; const more = () => { for (let i = 0; i < 20; i++) { const f = document.createElement('iframe');
        f.src = '/plain?' + n++; document.body.append(f) } if (n < 2000) setTimeout(more) }; more()""",
    "windows": "for (let n = 0; n < 500; n++) window.open('/plain?' + n)",
    "dialogs": "for (;;) alert('again')",
    "loop": "setTimeout(() => { for (;;); }, 300)",
    "navigations": "const more = () => { location.href = '/hang'; setTimeout(more, 50) }; more()",
    "history": "for (let n = 0; n < 100000; n++) try { history.pushState(n, '', '?' + n) } catch {}",
    "paragraphs": "document.body.innerHTML = '<p>words and words</p>'.repeat(300000)",
    "tall": "document.body.innerHTML = '<div style=\"height:100000px;background:linear-gradient(red,blue)\">tall</div>'",
    "canvas": """const kept = []; const more = () => { const c = document.createElement('canvas'); c.width = c.height = 8000;
        c.getContext('2d').fillRect(0, 0, 8000, 8000); kept.push(c); document.body.append(c); setTimeout(more) }; more()""",
    "downloads": "for (let n = 0; n < 40; n++) { const a = document.createElement('a'); a.href = '/endless.bin?' + n; a.download = 'a'; a.click() }",
    "print": "for (let n = 0; n < 50; n++) print()",
}


def bomb(name):
    return f"<title>{name}</title><body><h1>{name}</h1><script>{FILL}{BOMBS[name]}</script>"
