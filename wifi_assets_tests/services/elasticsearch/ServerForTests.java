import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * One Elasticsearch node from the folder named by the first argument (lib, modules, config); the other
 * arguments are settings, name=value. The distribution's own start also checks the user, the limits of
 * the machine and the keystore, none of which a server for tests needs.
 */
public class ServerForTests {
    private static final String NAME = "wifi-assets-tests";

    public static void main(String[] arguments) throws Exception {
        Map<String, String> settings = new LinkedHashMap<>();
        for (int i = 1; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        settings.putIfAbsent("node.name", NAME);
        settings.putIfAbsent("cluster.name", NAME);

        Path home = Path.of(arguments[0]).toRealPath();
        Settings base = Settings.builder().put("path.home", home).build();
        LogConfigurator.configureESLogging();
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(base, settings, home.resolve("config"), () -> NAME);
        LogConfigurator.setNodeName(NAME);
        LogConfigurator.configure(environment, true);

        // The last argument: no module layers, the server's jars lie on the class path.
        PluginsLoader plugins = PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(environment.modulesDir(), false),
            PluginsLoader.loadPluginsBundles(environment.pluginsDir(), false),
            Map.of(),
            false);
        Node node = null;
        try {
            node = new Node(environment, plugins);
            node.start();
        } catch (Throwable failure) {
            failure.printStackTrace();
            // Threads that live on would keep the process; a data folder or port in use ends it here.
            Runtime.getRuntime().halt(1);
        }
        Runtime.getRuntime().addShutdownHook(new Thread(closing(node)));
        new CountDownLatch(1).await();
    }

    private static Runnable closing(Node node) {
        return () -> {
            try {
                node.prepareForClose();
                node.close();
                node.awaitClose(30, TimeUnit.SECONDS);
            } catch (Exception failure) {
                failure.printStackTrace();
            }
        };
    }
}
