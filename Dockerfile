# `lcnet serve` as an image, for CPUs and for CUDA; docs/guide/serve.md says how it is built and run.
#
#   docker build --tag lcnet .                                              CUDA, and CPUs too
#   docker build --tag lcnet:cpu --build-arg TORCH_INDEX=INDEX .            smaller: INDEX has torch's builds for CPUs alone
#   docker run --publish 7860:7860 --volume "$PWD/runs/demo:/model:ro" lcnet
ARG PYTHON=3.11

# The wheel, and what it needs, apart: a change of the code then changes the last, smallest layer alone.
FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*project['dependencies'], *project['optional-dependencies']['serve'], sep='\n')" > /requirements.txt
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:${PYTHON}-slim
# Where torch and torchvision come from; empty for the usual index, whose builds bring CUDA along and run without it too.
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY constraints.txt /
RUN pip install --constraint /constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch torchvision
COPY --from=wheel /requirements.txt /
RUN pip install --constraint /constraints.txt --requirement /requirements.txt
COPY --from=wheel /wheel /wheel
RUN pip install --no-deps /wheel/*.whl

RUN useradd --create-home --uid 10001 lcnet
USER lcnet
WORKDIR /home/lcnet
EXPOSE 7860
# It is ready once the model is loaded and until it stops; an answer other than 200 raises, so the command fails.
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/ready', timeout=4)"]
ENTRYPOINT ["lcnet"]
CMD ["serve", "/model", "--host", "0.0.0.0", "--port", "7860"]
