"""Java in assisted builds: build tools run natively and answer for the target, what they fork is the image's own."""

from __future__ import annotations

import pytest
from assisted_site import Site, paths

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("emulation"), pytest.mark.timeout(1200)]

PROJECT = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>org.example</groupId>
  <artifactId>app</artifactId>
  <version>1</version>
  <properties>
    <maven.compiler.source>17</maven.compiler.source>
    <maven.compiler.target>17</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
    <project.build.outputTimestamp>2024-01-01T00:00:00Z</project.build.outputTimestamp>
  </properties>
  <dependencies>
    <dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>4.x</version><scope>test</scope></dependency>
  </dependencies>
  <build>
    <resources>
      <resource><directory>src/main/resources</directory><filtering>true</filtering></resource>
    </resources>
  </build>
</project>
"""
APP = """\
package org.example;

public class App {
    record Pair(int number, String text) {}

    public static void main(String[] arguments) {
        System.out.println(new Pair(arguments.length, who()));
    }

    static String who() {
        return System.getProperty("os.arch") + " " + System.getProperty("sun.boot.library.path");
    }
}
"""
TEST = """\
package org.example;

public class AppTest {
    @org.junit.Test
    public void who() {
        System.out.println("tested by " + App.who());
    }
}
"""
# A JVM option that only Arm has keeps a start emulated, which gives the class files to compare with.
WORK = """\
FROM {base} AS build
RUN apt-get update && apt-get install -y --no-install-recommends \\
    openjdk-17-jdk-headless maven libmaven-resources-plugin-java libmaven-compiler-plugin-java \\
    libmaven-jar-plugin-java libsurefire-java junit4
COPY project /src
WORKDIR /src
RUN javac -J-XshowSettings:properties -d /native src/main/java/org/example/App.java
RUN JAVA_TOOL_OPTIONS=-XX:UseSVE=0 javac -d /emulated src/main/java/org/example/App.java
RUN diff -r /native /emulated && echo same
RUN java -cp /native org.example.App
RUN alias='-alias mine -storepass changeit' \\
    && keytool -genkeypair -keyalg EC -dname CN=mine -keystore /keys $alias \\
    && keytool -exportcert -keystore /keys $alias -file /mine.crt \\
    && keytool -importcert -noprompt -cacerts $alias -file /mine.crt && keytool -list -cacerts $alias \\
    && ls -l /etc/ssl/certs/java/cacerts
RUN mvn -o -B -Dmaven.repo.local=/usr/share/maven-repo package \\
    && jar tf target/app-1.jar && cat target/classes/made.properties

FROM {base}
COPY --from=build /src/target /app
"""
HOME = "/usr/lib/jvm/java-17-openjdk-arm64"


@pytest.mark.parametrize("site", ["buildx"], indirect=True)
def test_build_tools_run_natively_and_answer_for_the_target(site: Site, debian: str) -> None:
    project = site.context / "project"
    for name, text in {
        "pom.xml": PROJECT,
        "src/main/java/org/example/App.java": APP,
        "src/test/java/org/example/AppTest.java": TEST,
        "src/main/resources/made.properties": "made=${os.arch} ${java.home}\n",
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    layout = site.build(WORK.format(base=debian))
    assert site.said == []
    said = [line.strip() for line in site.output]
    assert f"java.home = {HOME}" in said
    assert "os.arch = aarch64" in said
    assert "sun.boot.library.path = /.crossdock/root/usr/lib/jvm/java-17-openjdk-amd64/lib" in said
    assert "same" in said
    assert f"Pair[number=0, text=aarch64 {HOME}/lib]" in said
    assert f"tested by aarch64 {HOME}/lib" in said
    assert any(line.startswith("mine, ") for line in said)
    assert {"org/example/App.class", "made.properties", f"made=aarch64 {HOME}"} <= set(said)
    assert not [path for path in paths(layout) if "crossdock" in path]
